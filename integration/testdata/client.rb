# One request: client.rb METHOD URL
require "net/http"
uri = URI(ARGV[1])
Net::HTTP.start(uri.host, uri.port, use_ssl: true) do |http|
  answer = http.send_request(ARGV[0], uri.path)
  puts answer.code, answer.body
end
