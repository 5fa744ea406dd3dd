"""What bench/compare and bench/neighbour are made of."""
