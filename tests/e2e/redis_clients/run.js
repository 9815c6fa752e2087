// One session of ioredis: single|cluster HOST PORT; what it saw, as one JSON object.
const Redis = require("ioredis");

const [kind, host, port] = process.argv.slice(2);
const said = [];
const once = {retryStrategy: () => null, clusterRetryStrategy: () => null, maxRetriesPerRequest: 1};
const client =
  kind === "cluster"
    ? new Redis.Cluster([{host, port: Number(port)}], {...once, redisOptions: once})
    : new Redis({host, port: Number(port), ...once});
client.on("error", (error) => said.push(String(error), String(error.lastNodeError || "")));

async function main() {
  const seen = {};
  try {
    seen.set = await client.set("app:ioredis", "1");
    const answers = await client.pipeline().incr("app:ioredis").get("secret:k").get("app:ioredis").exec();
    seen.pipeline = answers.map(([error, answer]) => (error ? String(error) : answer));
    const done = await client.multi().incr("app:ioredis").get("app:ioredis").exec();
    seen.multi = done.map(([error, answer]) => (error ? String(error) : answer));
    seen.nodes = kind === "cluster" ? client.nodes().map((node) => String(node.options.port)) : [port];
  } catch (error) {
    seen.error = [String(error), String(error.lastNodeError || "")].join(" ");
  }
  seen.said = said;
  console.log(JSON.stringify(seen));
  client.disconnect();
}

main();
