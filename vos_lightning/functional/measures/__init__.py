"""How good masks are: region similarity J and contour accuracy F, of arrays and tensors."""
