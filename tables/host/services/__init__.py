"""The settings of network services in their own formats."""
