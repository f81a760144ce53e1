// Names of classes as the page's reader gives them: node members.mjs FOLDER < {settings, among: [...]}
import { pathToFileURL } from "node:url";

const { Members } = await import(pathToFileURL(`${process.argv[2]}/members.js`).href);
let given = "";
for await (const chunk of process.stdin) given += chunk;
const { settings, among } = JSON.parse(given);
const members = new Members(settings);
const answers = among.map((text) => {
  try {
    const { classes, name } = members.choose(text ?? undefined);
    const known = classes ?? members.characters.map((_, i) => i);
    return known.map((number, i) => [number, name(i).character, name(i).alike]);
  } catch (error) {
    return { code: error.code, message: error.message };
  }
});
console.log(JSON.stringify(answers));
