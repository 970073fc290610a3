"""The stand-in world: crafter behind Minecraft's human interface."""
