allow "https" {
  hosts    = ["a.example"]
  protocol = "https" # ERROR: Invalid protocol
}

allow "typo" {
  hosts    = ["a.example"]
  protocol = "tpc" # ERROR: Invalid protocol
}

allow "tcp-ports" { # ERROR: Missing ports
  hosts    = ["a.example"]
  protocol = "tcp"
}

allow "tcp-methods" {
  hosts    = ["a.example"]
  protocol = "tcp"
  ports    = [1]
  methods  = ["GET"] # ERROR: Conflicting arguments
  paths    = ["/x"]  # ERROR: Conflicting arguments

  max_request_bytes = 1 # ERROR: Conflicting arguments
}

allow "unix-hosts" {
  protocol = "unix"
  hosts    = ["a.example"] # ERROR: Conflicting arguments
  ports    = [1]           # ERROR: Conflicting arguments
  private  = true          # ERROR: Conflicting arguments
}

deny "private" {
  hosts             = ["a.example"]
  private           = true # ERROR: Conflicting arguments
  max_request_bytes = 10   # ERROR: Conflicting arguments
}

allow "type" {
  hosts    = ["a.example"]
  protocol = 7 # ERROR: Invalid protocol
  private  = 1 # ERROR: Invalid private
}
