"""What processes of a mesh say of themselves on the wire."""
