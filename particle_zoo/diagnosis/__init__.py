"""What `particle_zoo.doctor` looks at. Importing it loads no backend: what may be broken runs in processes of its own."""
