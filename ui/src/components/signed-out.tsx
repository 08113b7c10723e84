import { useSessionEnded } from "../api/session";

/** Says that the session ended, on a page that stays because of what is typed in it. Draws nothing while there is one. */
export function SignedOut() {
  if (!useSessionEnded()) return null;
  return (
    <div className="banner" data-tone="red" role="alert">
      <div>
        <strong>You are signed out.</strong>
        <p>
          <a href="/login" target="_blank" rel="noreferrer">
            Sign in in another tab
          </a>
          : what you typed stays here, and this page goes on when you are back.
        </p>
      </div>
    </div>
  );
}
