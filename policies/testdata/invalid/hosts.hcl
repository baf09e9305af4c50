allow "scheme" {
  hosts = ["https://api.example.com/x"] # ERROR: Invalid host
}

allow "port" {
  hosts = ["api.example.com:8443"] # ERROR: Invalid host
}

allow "star" {
  hosts = ["api*.example.com"] # ERROR: Invalid host
}

allow "below-address" {
  hosts = ["*.10.0.0.1"] # ERROR: Invalid host
}

allow "bits" {
  hosts = ["10.1.2.3/8"] # ERROR: Invalid host
}

allow "octal" {
  hosts = ["0177.0.0.1"] # ERROR: Invalid host
}

allow "zone" {
  hosts = ["fe80::1%eth0"] # ERROR: Invalid host
}

allow "label" {
  hosts = [
    "fine.example.com",
    "two..dots", # ERROR: Invalid host
    "sp ace",    # ERROR: Invalid host
    "",          # ERROR: Invalid host
  ]
}

allow "none" { # ERROR: Missing hosts
  methods = ["GET"]
}

allow "empty" {
  hosts = [] # ERROR: Empty list
}

allow "text" {
  hosts = "api.example.com" # ERROR: Invalid hosts
}

allow "number" {
  hosts = [1] # ERROR: Invalid hosts
}

allow "null" {
  hosts = null # ERROR: Invalid hosts
}

allow "list-of-lists" {
  hosts = [["a.example"]] # ERROR: Invalid hosts
}
