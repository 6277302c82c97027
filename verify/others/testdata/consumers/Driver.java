import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import software.amazon.awssdk.services.secretsmanager.SecretsManagerClient;

/**
 * Reads "&lt;seconds&gt; [fresh]" lines and answers each with the access token that the snippet has
 * at that time, and "&lt;seconds&gt; get &lt;url&gt;" lines with the answer.
 */
public final class Driver {
  private static Instant now = Instant.EPOCH;

  public static void main(String[] args) throws Exception {
    Clock clock = new Clock() {
      public Instant instant() {
        return now;
      }

      public ZoneId getZone() {
        return ZoneOffset.UTC;
      }

      public Clock withZone(ZoneId zone) {
        return this;
      }
    };
    Token token = new Token(SecretsManagerClient.create(), System.getenv("SECRET_ID"), clock);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.trim().split(" ");
      now = Instant.ofEpochSecond(Long.parseLong(words[0]));
      try {
        if (words.length == 3) {
          var response = token.get(URI.create(words[2]));
          System.out.println(response.statusCode() == 200 ? response.body() : "error");
        } else {
          System.out.println(token.read(words.length == 2).get("access_token").asText());
        }
      } catch (RuntimeException e) {
        System.out.println("error");
      }
    }
  }
}
