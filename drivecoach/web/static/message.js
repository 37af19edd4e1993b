// A page that only tells something, with the switches that every page has.
import { useTexts } from "./language.js";
import "./theme.js";

useTexts({ zh: {}, en: {} });
