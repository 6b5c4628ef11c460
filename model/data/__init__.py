"""An event log and an item list: read, checked, cleaned, and brought into columns of numbers."""
