import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/** Makes one request with the JDK's HttpClient or HttpURLConnection, or looks one name up. */
public final class Client {
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "resolve" -> {
                for (InetAddress address : InetAddress.getAllByName(args[1])) {
                    System.out.println(address.getHostAddress());
                }
            }
            case "HttpURLConnection" -> old(args[1], URI.create(args[2]));
            default -> request(args[0], URI.create(args[1]));
        }
    }

    private static void request(String method, URI address) throws Exception {
        var body = method.equals("POST") ? BodyPublishers.ofString("secret") : BodyPublishers.noBody();
        var request = HttpRequest.newBuilder(address).method(method, body).build();
        HttpResponse<InputStream> answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofInputStream());
        show(answer.statusCode(), answer.body());
    }

    private static void old(String method, URI address) throws IOException {
        var connection = (HttpURLConnection) address.toURL().openConnection();
        connection.setRequestMethod(method);
        if (method.equals("POST")) {
            connection.setDoOutput(true);
            try (var out = connection.getOutputStream()) {
                out.write("secret".getBytes());
            }
        }
        int status = connection.getResponseCode();
        show(status, status < 400 ? connection.getInputStream() : connection.getErrorStream());
    }

    /** Prints a body as it comes. */
    private static void show(int status, InputStream body) throws IOException {
        System.out.println(status);
        byte[] part = new byte[8192];
        for (int n = body.read(part); n >= 0; n = body.read(part)) {
            System.out.write(part, 0, n);
            System.out.flush();
        }
    }
}
