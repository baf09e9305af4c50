allow "open" {
  hosts = ["a.example"
} # ERROR: Missing item separator

allow "not reached" {
}
