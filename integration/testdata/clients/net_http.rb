# One request with net/http: net_http.rb METHOD URL
require 'net/http'

method, url = ARGV
uri = URI(url)
request = Net::HTTP.const_get(method.capitalize).new(uri)
request.body = 'secret' if method == 'POST'
$stdout.sync = true
Net::HTTP.start(uri.host, uri.port, use_ssl: true) do |http|
  http.request(request) do |answer|
    puts answer.code
    answer.read_body { |part| print part }
  end
end
