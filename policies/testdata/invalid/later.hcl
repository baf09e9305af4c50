include = ["preset:npm"] # ERROR: Unsupported argument
mode    = "monitor"      # ERROR: Unsupported argument

upstream {
  proxy = "socks5://proxy.example:1080" # ERROR: Invalid proxy
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
