/**
 * `weir schema`: the JSON Schema of the configuration, for editors.
 */
import { type Command, EXIT_OK, NO_OPERANDS } from "./command.ts";

export const schemaCommand: Command = {
  name: "schema",
  summary: "print the JSON Schema of the configuration, for editors",
  usage: "",
  operands: NO_OPERANDS,
  options: [],
  about: "An editor that knows the schema completes keys and shows what they mean while you type.",
  examples: [
    ["weir schema > weir.schema.json", "then, as the first line of weir.yaml:"],
    ["# yaml-language-server: $schema=weir.schema.json", "read by editors with a YAML language server"],
  ],
  async run(_args, terminal) {
    const { jsonSchema } = await import("../config/json-schema.ts");
    terminal.out(JSON.stringify(jsonSchema(), null, 2));
    return EXIT_OK;
  },
};
