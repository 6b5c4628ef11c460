"""The command line: mounts the subcommands and turns settings into options."""
