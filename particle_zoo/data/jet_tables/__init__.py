"""Tables of jets in foreign files, read a block of rows at a time; `particle_zoo.data.jet_files` makes jets of them."""
