// Loki's grammar: stdin is a JSON list of queries, stdout the list of their trees, each node [name, text, children].
import { parser } from "@grafana/lezer-logql";
import { readFileSync } from "node:fs";

const tree = (query, node) => {
  const children = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(tree(query, child));
  return [node.type.isError ? "error" : node.name, query.slice(node.from, node.to), children];
};

const queries = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(queries.map((query) => tree(query, parser.parse(query).topNode))));
