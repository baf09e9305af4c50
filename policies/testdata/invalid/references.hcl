locals {
  read  = ["GET"]
  loop  = local.pool
  pool  = local.loop # ERROR: Circular local
  wrong = local.raed # ERROR: Unknown local
}

locals {
  read = ["HEAD"] # ERROR: Duplicate local
}

allow "local" {
  hosts   = ["a.example"]
  methods = local.reads # ERROR: Unknown local
}

allow "follows" {
  hosts   = ["a.example"]
  methods = local.wrong
}

allow "env" {
  hosts = [env.BOUNDARY_TEST_MISSING] # ERROR: Missing environment variable
}

allow "all-env" {
  hosts = [for name in ["HOST"] : env[name]] # ERROR: Invalid reference
}

allow "root" {
  hosts = var.hosts # ERROR: Unknown variable
}

allow "function" {
  hosts = [file("hosts")] # ERROR: Call to unknown function
}

allow "secret-host" {
  hosts = ["${env.SECRET}.example"] # ERROR: Invalid host
}

allow "secret-method" {
  hosts    = ["a.example"]
  methods  = split(",", env.SECRET) # ERROR: Invalid method
  protocol = lower(env.SECRET)      # ERROR: Invalid protocol
  ports    = [env.SECRET]           # ERROR: Invalid port
  private  = env.SECRET             # ERROR: Invalid private
}

allow "secret-path" {
  hosts   = ["a.example"]
  paths   = [env.SECRET]        # ERROR: Invalid pattern
  process = ["${env.SECRET}/x"] # ERROR: Invalid pattern
}

allow "secret-index" {
  hosts = [{ a = "b" }[env.SECRET], 1 + env.SECRET] # ERROR: Invalid index, Invalid operand
}

allow "secret-in-error" {
  hosts = [element([], env.SECRET), index([env.SECRET], "x"), format("%d", env.SECRET)] # ERROR: Invalid function argument, Error in function call, Error in function call
}

upstream {
  resolve = {
    (env.SECRET) = env.SECRET # ERROR: Invalid host
  }
}
