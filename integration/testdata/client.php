<?php // One request: client.php stream|curl METHOD URL
[, $how, $method, $url] = $argv;
if ($how === "stream") {
	$context = stream_context_create(["http" => ["method" => $method, "ignore_errors" => true]]);
	echo file_get_contents($url, false, $context), "\n", $http_response_header[0] ?? "", "\n";
	exit;
}
$handle = curl_init($url);
curl_setopt($handle, CURLOPT_CUSTOMREQUEST, $method);
curl_exec($handle);
echo "\n", curl_getinfo($handle, CURLINFO_RESPONSE_CODE), " ", curl_error($handle), "\n";
