include = ["preset:npm"] # ERROR: Unsupported argument
mode    = "monitor"      # ERROR: Unsupported argument

upstream {
  proxy = "http://proxy.example:3128" # ERROR: Unsupported argument
}

audit { # ERROR: Unsupported block
  file = "/var/log/x"
}

test "x" { # ERROR: Unsupported block
  request = "GET https://a.example/"
  expect  = "deny"
}

allow "inject" {
  hosts = ["a.example"]
  inject { # ERROR: Unsupported block
    header = "x-api-key"
    value  = "x"
  }
}
