allow "twice" {
  hosts = ["a.example"]
}

deny "twice" { # ERROR: Duplicate rule name
  hosts = ["b.example"]
}

allow "" { # ERROR: Invalid rule name
  hosts = ["a.example"]
}

allow " padded" { # ERROR: Invalid rule name
  hosts = ["a.example"]
}

allow "bell\u0007" { # ERROR: Invalid rule name
  hosts = ["a.example"]
}
