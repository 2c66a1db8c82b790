"""What a good engineer would write without the product: plain scripts, each doing the same work as its counterpart."""
