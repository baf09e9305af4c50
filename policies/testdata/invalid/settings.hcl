require = ["landlock-nte", "nonsense", 7] # ERROR: Unknown guard, Unknown guard, Invalid require

listen {
  public = [3000, 0, "1-2"] # ERROR: Invalid port, Invalid port
  ports  = [1]              # ERROR: Unsupported argument
}

upstream {
  ca_file = "" # ERROR: Invalid ca_file
  resolve = {
    "a.example"       = "127.0.0.1:8443"
    "A.example."      = "127.0.0.1:8444" # ERROR: Duplicate host
    "b.example:https" = "127.0.0.1"      # ERROR: Invalid host
    "*.example"       = "127.0.0.1"      # ERROR: Invalid host
    "c.example"       = "d.example:443"  # ERROR: Invalid address
    "e.example"       = "127.0.0.1:0"    # ERROR: Invalid address
    "f.example"       = "0.0.0.0:80"     # ERROR: Invalid address
    "g.example"       = 443              # ERROR: Invalid resolve
  }
}

upstream {
  resolve = "a.example" # ERROR: Invalid resolve
}

upstream {
  resolve = merge({ "h.example" = 1 }, { "i..example" = "127.0.0.1" }) # ERROR: Invalid resolve, Invalid host
}

upstream {
  resolve = merge(local.nothing) # ERROR: Unknown local
  ca_file = ["a.pem"]            # ERROR: Invalid ca_file
}

locals {
  nested { # ERROR: Unexpected "nested" block
  }
}
