import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisCluster;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisDataException;

/** One session of Jedis: single|cluster HOST PORT 2|3; what it saw, a line each. */
class Run {
  public static void main(String[] arguments) {
    var place = new HostAndPort(arguments[1], Integer.parseInt(arguments[2]));
    var protocol = arguments[3].equals("3") ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
    var settings = DefaultJedisClientConfig.builder().protocol(protocol).build();
    try (UnifiedJedis client =
        arguments[0].equals("cluster")
            ? new JedisCluster(Set.of(place), settings, 2)
            : new JedisPooled(place, settings)) {
      System.out.println(client.set("app:jedis", "1"));
      List<Response<?>> answers = new ArrayList<>();
      try (var pipeline = client.pipelined()) {
        answers.add(pipeline.incr("app:jedis"));
        answers.add(pipeline.get("secret:k"));
        answers.add(pipeline.get("app:jedis"));
        pipeline.sync();
      }
      for (var answer : answers) {
        try {
          System.out.println(answer.get());
        } catch (JedisDataException refused) {
          System.out.println(refused.getMessage());
        }
      }
      if (client instanceof JedisCluster cluster) {
        System.out.println(cluster.getClusterNodes().keySet()); // it has no transactions
        return;
      }
      try (var transaction = client.multi()) {
        transaction.incr("app:jedis");
        transaction.get("app:jedis");
        System.out.println(transaction.exec());
      }
    } catch (RuntimeException error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        System.out.println(cause);
        for (Throwable other : cause.getSuppressed()) {
          System.out.println(other);
        }
      }
    }
  }
}
