"""The OPA that decides, as a child of this process or the operator's own: started, fed, watched, replaced."""
