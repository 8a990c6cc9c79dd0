"""One module a file format of cameras; each describes itself by a `Format` whose parts are `Source`s."""
