import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/** Makes one request with the JDK's HttpClient, or looks one name up. */
public final class Client {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("resolve")) {
            for (InetAddress address : InetAddress.getAllByName(args[1])) {
                System.out.println(address.getHostAddress());
            }
            return;
        }
        var body = args[0].equals("POST") ? BodyPublishers.ofString("secret") : BodyPublishers.noBody();
        var request = HttpRequest.newBuilder(URI.create(args[1])).method(args[0], body).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        System.out.println(answer.statusCode());
        System.out.print(answer.body());
    }
}
