"""The demo: everything that `make demo` runs besides the operator itself."""
