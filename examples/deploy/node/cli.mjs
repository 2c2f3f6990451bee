// node cli.mjs concepts.onnx PICTURE... prints what is in each picture as JSON.

import { openConcepts } from "./concepts.mjs";

async function main([model, ...pictures]) {
  if (!pictures.length) {
    console.error("usage: node cli.mjs concepts.onnx PICTURE...");
    return 2;
  }
  const concepts = await openConcepts(model);
  const results = [];
  let failed = 0;
  for (const picture of pictures) {
    try {
      const { heatmaps, ...result } = await concepts.inFile(picture);
      results.push({ picture, ...result });
    } catch (error) {
      console.error(error.message); // the other pictures are not lost
      failed = 3;
    }
  }
  console.log(JSON.stringify(results, null, 2));
  return failed;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 5;
}
