# One request with LWP: lwp.pl METHOD URL
use strict;
use warnings;
use HTTP::Request;
use LWP::UserAgent;

$| = 1;
my ($method, $url) = @ARGV;
my $request = HTTP::Request->new($method, $url, [], $method eq 'POST' ? 'secret' : undef);
# LWP gives the body of an answer that is no success to the callback too.
my $answer = LWP::UserAgent->new->request($request, sub { print $_[0] });
print $answer->is_success ? '' : $answer->decoded_content, "\n", $answer->code, "\n";
