"""What turns what somebody has made, or labelled, into a version that serves: the gate."""
