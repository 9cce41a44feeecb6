"""What a model is: its manifest, the store on disk, preprocessing of its inputs, and the runners that execute it."""
