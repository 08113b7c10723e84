import { Link, useLocation } from "react-router";
import { Empty } from "../components/view";
import { PageHead } from "./shell";

export function Component() {
  const { pathname } = useLocation();
  return (
    <>
      <PageHead title="Not found" />
      <div className="page-body">
        <Empty>
          There is no page <code>{pathname}</code>. <Link to="/">Home</Link>
        </Empty>
      </div>
    </>
  );
}
