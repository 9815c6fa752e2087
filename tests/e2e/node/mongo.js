// One session of the Node driver: what each step gave, as one line of JSON. Usage: mongo.js URI
const { MongoClient } = require(process.argv[3] + "/node_modules/mongodb");

async function main() {
  const client = new MongoClient(process.argv[2], { serverSelectionTimeoutMS: 15000 });
  const said = {};
  await client.connect();
  const orders = client.db("app").collection("orders");
  said.one = (await orders.findOne({ _id: 3 })).v;
  said.many = (await orders.find({}, { batchSize: 100 }).toArray()).length;
  await orders.insertMany([{ _id: "n1" }, { _id: "n2" }]);
  said.inserted = await orders.countDocuments({ _id: { $in: ["n1", "n2"] } });
  try {
    await client.db("app").collection("pay").findOne({});
  } catch (error) {
    said.refused = [error.code, error.message];
  }
  const several = await Promise.all([...Array(20).keys()].map((n) => orders.find({ _id: { $gte: n } }, { batchSize: 7 }).limit(30).toArray()));
  said.several = several.map((found) => found.length);
  await client.close();
  console.log(JSON.stringify(said));
}
main().catch((error) => { console.log(JSON.stringify({ failed: String(error) })); process.exit(1); });
