<?php
// One request by PHP's streams: streams.php METHOD URL
[, $method, $url] = $argv;
$options = ['method' => $method, 'ignore_errors' => true];
if ($method === 'POST') {
    $options['content'] = 'secret';
    $options['header'] = 'Content-Type: text/plain';
}
$answer = fopen($url, 'r', false, stream_context_create(['http' => $options]));
if ($answer === false) {
    exit(1);
}
echo stream_get_meta_data($answer)['wrapper_data'][0], "\n";
// To read more at once waits until there is more, where the body has chunks.
while (($byte = fgetc($answer)) !== false) {
    echo $byte;
}
