# One request: client.pl LWP|Tiny METHOD URL
use strict;
use warnings;
my ($how, $method, $url) = @ARGV;
if ($how eq "LWP") {
	require LWP::UserAgent;
	my $answer = LWP::UserAgent->new->request(HTTP::Request->new($method, $url));
	print $answer->code, "\n", $answer->decoded_content, "\n";
	exit;
}
require HTTP::Tiny;
my $answer = HTTP::Tiny->new(verify_SSL => 1)->request($method, $url);
print $answer->{status}, "\n", $answer->{content}, "\n";
