// Puts the page together.

startSections();
startControls();
startPictures();
startLarge();
refreshLegend();
refreshConcepts();
refresh();
addEventListener("hashchange", followAddress);
followAddress();
