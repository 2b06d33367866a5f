"""What the figures of the documentation are measured with; each module runs by itself. See README.md."""
