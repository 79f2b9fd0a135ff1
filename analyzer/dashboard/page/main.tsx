import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Experiment } from "./experiment.tsx";
import { Experiments } from "./experiments.tsx";
import { parsePlace } from "./location.ts";

function Page() {
  const [place, setPlace] = useState(() => parsePlace(location.hash));
  useEffect(() => {
    const onHash = () => setPlace(parsePlace(location.hash));
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  return place.experiment === null ? (
    <Experiments />
  ) : (
    <Experiment key={place.experiment} name={place.experiment} place={place} />
  );
}

const page = document.getElementById("page");
if (page !== null) {
  page.replaceChildren();
  render(<Page />, page);
}
