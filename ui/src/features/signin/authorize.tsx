import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { api, got } from "../../api/client";
import { PageHead } from "../../app/shell";
import { useMe } from "../../app/scope";
import { Command } from "../../components/parts";
import { Failure } from "../../components/view";

/** The page that the client names at `wandb login`: makes a key and shows it once. */
export function Component() {
  const me = useMe();
  const queries = useQueryClient();
  // The button is disabled only when the page is drawn again; a second click of the same hand comes before.
  const asked = useRef(false);
  const make = useMutation({
    mutationFn: async () => (await got(api.POST("/api/v1/me/keys", { body: { description: "made on the authorize page" } }))).api_key,
    onSuccess: () => queries.invalidateQueries({ queryKey: ["keys"] }),
    onError: () => {
      asked.current = false;
    },
  });
  const begin = () => {
    if (asked.current) return;
    asked.current = true;
    make.mutate();
  };
  return (
    <>
      <PageHead title="API key" />
      <div className="page-body" style={{ maxWidth: 640 }}>
        {make.isError && <Failure error={make.error} retry={begin} />}
        {make.data ? (
          <>
            <p>This is your new key. It is shown once: copy it now and keep it like a password.</p>
            <Command text={make.data} what="Copy key" />
            <p className="quiet">
              Paste it where <code>wandb login</code> asks for it, or set <code>WANDB_API_KEY</code>.
            </p>
          </>
        ) : (
          <>
            <p>
              You are signed in as <strong>{me.username}</strong>. A new key lets a program act as you.
            </p>
            <div>
              <button type="button" className="button primary" disabled={make.isPending} onClick={begin}>
                Make a new API key
              </button>
            </div>
          </>
        )}
      </div>
    </>
  );
}
