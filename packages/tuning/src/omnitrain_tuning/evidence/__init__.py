"""What is measured of this package."""
