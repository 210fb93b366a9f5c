"""One pass over one MeshCA: observe, plan, apply, report."""
