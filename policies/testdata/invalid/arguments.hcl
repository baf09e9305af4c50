allow "misspelled" {
  hosts  = ["a.example"]
  method = ["GET"] # ERROR: Unsupported argument
}

alow "block" { # ERROR: Unsupported block type
  hosts = ["a.example"]
}

default = "deny" # ERROR: Unsupported argument

allow { # ERROR: Missing name for allow
  hosts = ["a.example"]
}

allow "two" "labels" { # ERROR: Extraneous label for allow
  hosts = ["a.example"]
}

allow "twice" {
  hosts = ["a.example"]
  hosts = ["b.example"] # ERROR: Attribute redefined
}
