import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * Runs statements through a JDBC driver: a command per line in, an answer per line out.
 *
 * <p>Commands: {@code run SQL}, {@code bind N SQL} (one prepared statement, run N times with the values 1 to N,
 * so that the driver moves on to a named statement), {@code batch N SQL} (one batch with the values 1 to N),
 * {@code autocommit on|off}, {@code commit}, {@code rollback}.
 * Answers: {@code ok} with the rows (columns joined with a bar, rows with a semicolon), or {@code error} with
 * the SQLSTATE and the message on one line.
 */
class Run {
  public static void main(String[] arguments) throws Exception {
    var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (Connection connection = DriverManager.getConnection(arguments[0])) {
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        try {
          System.out.println("ok\t" + carryOut(connection, line));
        } catch (SQLException error) {
          System.out.println("error\t" + error.getSQLState() + "\t" + oneLine(error.getMessage()));
        }
      }
    } catch (SQLException error) {
      System.out.println("error\t" + error.getSQLState() + "\t" + oneLine(error.getMessage()));
    }
  }

  private static String carryOut(Connection connection, String line) throws SQLException {
    String[] words = line.split(" ", 2);
    switch (words[0]) {
      case "run":
        try (Statement statement = connection.createStatement()) {
          return statement.execute(words[1]) ? rows(statement.getResultSet()) : "";
        }
      case "bind":
        return bind(connection, words[1].split(" ", 2));
      case "batch":
        return batch(connection, words[1].split(" ", 2));
      case "autocommit":
        connection.setAutoCommit(words[1].equals("on"));
        return "";
      case "commit":
        connection.commit();
        return "";
      case "rollback":
        connection.rollback();
        return "";
      default:
        throw new SQLException("no such command: " + line);
    }
  }

  private static String bind(Connection connection, String[] words) throws SQLException {
    var answer = new StringBuilder();
    try (PreparedStatement statement = connection.prepareStatement(words[1])) {
      for (int number = 1; number <= Integer.parseInt(words[0]); number++) {
        statement.setInt(1, number);
        try (ResultSet result = statement.executeQuery()) {
          answer.append(answer.length() == 0 ? "" : ";").append(rows(result));
        }
      }
    }
    return answer.toString();
  }

  private static String batch(Connection connection, String[] words) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(words[1])) {
      for (int number = 1; number <= Integer.parseInt(words[0]); number++) {
        statement.setInt(1, number);
        statement.addBatch();
      }
      return String.valueOf(statement.executeBatch().length);
    }
  }

  private static String rows(ResultSet result) throws SQLException {
    var answer = new StringBuilder();
    int width = result.getMetaData().getColumnCount();
    while (result.next()) {
      answer.append(answer.length() == 0 ? "" : ";");
      for (int column = 1; column <= width; column++) {
        answer.append(column == 1 ? "" : "|").append(result.getString(column));
      }
    }
    return answer.toString();
  }

  private static String oneLine(String text) {
    return text == null ? "" : text.replace("\n", " / ").replace("\t", " ");
  }
}
