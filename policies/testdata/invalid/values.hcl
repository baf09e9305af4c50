allow "ports" {
  hosts = ["a.example"]
  ports = [
    0,           # ERROR: Invalid port
    65536,       # ERROR: Invalid port
    -1,          # ERROR: Invalid port
    80.5,        # ERROR: Invalid port
    1e100,       # ERROR: Invalid port
    "9000-8000", # ERROR: Invalid port
    "1-2-3",     # ERROR: Invalid port
    "http",      # ERROR: Invalid port
    "080",       # ERROR: Invalid port
    "",          # ERROR: Invalid port
    true,        # ERROR: Invalid ports
  ]
}

allow "port" {
  hosts = ["a.example"]
  ports = 443 # ERROR: Invalid ports
}

allow "methods" {
  hosts   = ["a.example"]
  methods = [
    "get",       # ERROR: Invalid method
    "*",         # ERROR: Invalid method
    "GET, POST", # ERROR: Invalid method
    "",          # ERROR: Invalid method
  ]
}

allow "paths" {
  hosts = ["a.example"]
  paths = [
    "repos",      # ERROR: Invalid pattern
    "/x?y=1",     # ERROR: Invalid pattern
    "/x#y",       # ERROR: Invalid pattern
    "/100%",      # ERROR: Invalid pattern
    "/a/../b",    # ERROR: Invalid pattern
    "/a/%2e%2e",  # ERROR: Invalid pattern
    "/a%00",      # ERROR: Invalid pattern
    "/a\n",       # ERROR: Invalid pattern
    "",           # ERROR: Invalid pattern
  ]
}

allow "process" {
  hosts    = ["a.example"]
  process  = ["bin/git"] # ERROR: Invalid pattern
  ancestor = [""]        # ERROR: Invalid pattern
}

allow "socket" {
  protocol = "unix"
  paths    = ["run/x", "/a\tb"] # ERROR: Invalid pattern, Invalid pattern
}

allow "limit" {
  hosts             = ["a.example"]
  max_request_bytes = -1 # ERROR: Invalid max_request_bytes
}

allow "fraction" {
  hosts             = ["a.example"]
  max_request_bytes = 1.5 # ERROR: Invalid max_request_bytes
}

allow "limit-text" {
  hosts             = ["a.example"]
  max_request_bytes = "1" # ERROR: Invalid max_request_bytes
}
