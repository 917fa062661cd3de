"""List and assign the resources of DigitalOcean projects."""

__version__ = "0.1.0"
