"""What holds the plugin to its paper."""
