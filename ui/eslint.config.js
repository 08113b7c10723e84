import js from "@eslint/js";
import a11y from "eslint-plugin-jsx-a11y";
import hooks from "eslint-plugin-react-hooks";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["dist", "node_modules", "src/api/schema.d.ts", "e2e/output"] },
  js.configs.recommended,
  ...ts.configs.recommended,
  a11y.flatConfigs.recommended,
  {
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs["recommended-latest"].rules,
      // Only `src/api` talks to the server.
      "no-restricted-globals": ["error", { name: "fetch", message: "use src/api" }, { name: "EventSource", message: "use src/api" }],
      "no-restricted-syntax": ["error", { selector: "CallExpression[callee.property.name='localeCompare']", message: "use byName of src/format/text: this makes a collator at each call" }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  { files: ["src/api/**", "e2e/**"], rules: { "no-restricted-globals": "off" } },
  { files: ["*.js", "*.ts"], languageOptions: { globals: { process: "readonly" } } },
);
