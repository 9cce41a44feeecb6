"""From a picture to its faces: where they are, cut out upright, and how good they are to be told apart by."""
